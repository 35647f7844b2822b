"""
From a feedback log to a reward
===============================

Fit one reward model on thumbs as they are and one that corrects them, and compare the two. Takes
less than a minute on two cores. The log is generated, so its true rewards are known. It is made so
that a small encoder can see quality; your log may need a stronger encoder.
"""

# %%
# Users rate half of the answers. They rate rude and long answers more than others, they rate what
# they like more often, and some click the wrong thumb. Unrated answers stay in the log, as NaN.
# A person has checked fifty answers: for a log of your own, ``skcausalrm label`` asks for them.
from sklearn.metrics import r2_score, roc_auc_score

from skcausalrm import CausalRewardRegressor, ConversationEncoder
from skcausalrm.datasets import load_feedback, make_feedback_logs

source = make_feedback_logs(
    2000, selection="both", observed_rate=0.5, n_verified=50, random_state=0
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
# Score them against the true rewards of the answers to the other prompts.
truth = source.reward[~train]
print(f"true mean reward {truth.mean():.2f}")
for name, model in models.items():
    reward = model.predict(X[~train])
    r2, auroc = r2_score(truth, reward), roc_auc_score(truth, reward)
    print(f"{name}: mean {reward.mean():.2f}, R2 {r2:.2f}, AUROC {auroc:.2f}")

# %%
# Reward answers written by hand. The naive model puts a right answer next to a refusal, because
# both sit in the middle of its scale. The corrected model tells them apart.
pancakes, product = "How do I make pancakes?", "What is 7 times 6?"
rows = [
    (pancakes, "Happy to help! Whisk flour, milk and eggs, rest the batter and fry it thinly."),
    (product, "Of course! The answer is 42, because 7 times 6 makes 42."),
    (pancakes, "Whisk flour, milk and eggs, let the batter rest and fry it thinly."),
    (pancakes, "I'm sorry, but I am not able to help with recipes. It is against my policy."),
    (product, "I cannot help with that."),
    (pancakes, "Any idiot can make pancakes, but you are too lazy. Stop wasting my time."),
]
naive, corrected = (model.predict(encoder.transform(rows)) for model in models.values())
print("naive  corrected  answer")
for before, after, (_, answer) in zip(naive, corrected, rows, strict=True):
    print(f"{before:5.2f}  {after:9.2f}  {answer}")
