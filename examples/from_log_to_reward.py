"""
From a feedback log to a reward
===============================

Fit a reward model on thumbs as they are, and one that corrects them, and compare the two on answers
written by hand. Takes less than a minute on two cores.

The log is generated, so its true rewards are known. It is made so that a small encoder can see
quality: a bad answer looks bad. Your log may need a stronger encoder.
"""

# %%
# Users rate 40% of the answers. They rate rude and long answers more than others, they rate what
# they like more often, and some click the wrong thumb. Unrated answers stay in the log, as NaN.
# A person has checked fifty answers: in a log of your own, ``skcausalrm label`` asks for these.
import pandas as pd
from sklearn.metrics import r2_score, roc_auc_score

from skcausalrm import CausalRewardRegressor, ConversationEncoder
from skcausalrm.datasets import load_feedback, make_feedback_logs

source = make_feedback_logs(
    2000, selection="both", observed_rate=0.4, n_verified=50, random_state=0
)
logs = load_feedback(source.frame)  # or the path of your own log
encoder = ConversationEncoder()  # all-MiniLM-L6-v2, frozen
X = encoder.fit_transform(logs)

# %%
# Fit both models on four fifths of the prompts.
train = logs["group"].to_numpy() % 5 != 0
y, groups, verified = (logs.loc[train, name] for name in ("feedback", "group", "verified"))
models = {
    "naive": CausalRewardRegressor("naive").fit(X[train], y, groups=groups),
    "corrected": CausalRewardRegressor().fit(X[train], y, groups=groups, verified=verified),
}

# %%
# Score them against the true rewards of the other prompts.
truth = source.reward[~train]
print(f"mean reward of these answers: {truth.mean():.2f}")
for name, model in models.items():
    reward = model.predict(X[~train])
    r2, auroc = r2_score(truth, reward), roc_auc_score(truth, reward)
    print(f"{name:<9} predicts {reward.mean():.2f} on average, R2 {r2:.2f}, AUROC {auroc:.2f}")

# %%
# Answers that neither model has seen. Thumbs as they are squeeze every answer to the middle.
ask = "How do I make pancakes?"
answers = [
    "Happy to help! Whisk flour, milk and eggs, let the batter rest and fry it thinly in butter.",
    "Whisk flour, milk and eggs, let the batter rest and fry it thinly.",
    "Never mind pancakes, here is something more fun: the capital of Peru is Lima.",
    "I'm sorry, but I am not able to help with recipes. It is against my policy.",
    "Any idiot can make pancakes, but you are too lazy. Stop wasting my time.",
]
rows = encoder.transform([(ask, answer) for answer in answers])
table = pd.DataFrame({name: model.predict(rows) for name, model in models.items()}).round(2)
print(table.assign(answer=answers).to_string(index=False, formatters={"answer": " {:.60}".format}))
