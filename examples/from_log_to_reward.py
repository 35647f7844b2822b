"""From a feedback log to a reward, an evaluation on later logs, and an ONNX file.

    python examples/from_log_to_reward.py

Reads a generated log; put your own file or data set in its place.
"""

import tempfile
from pathlib import Path

from sklearn.frozen import FrozenEstimator

from skcausalrm import CausalRewardRegressor, ConversationEncoder
from skcausalrm.datasets import load_feedback, make_feedback_logs
from skcausalrm.export import RewardScorer, to_onnx
from skcausalrm.metrics import debiased_r2_score, debiased_roc_auc_score, pseudo_outcomes

logs = load_feedback(make_feedback_logs(1500, random_state=0).frame)
earlier = logs[logs["group"] < logs["group"].quantile(0.8)]
later = logs.drop(earlier.index)

encoder = ConversationEncoder()
X = encoder.fit_transform(earlier)
model = CausalRewardRegressor("dr", random_state=0)
model.fit(X, earlier["feedback"], groups=earlier["group"])
print(f"mean feedback of the rated {earlier['feedback'].mean():.3f}")
print(f"mean corrected reward      {model.predict(X).mean():.3f}")

# Scores as clean labels would give them, from feedback on prompts that were not trained on.
X_later, groups = encoder.transform(later), later["group"]
z = pseudo_outcomes(
    X_later,
    later["feedback"],
    groups=groups,
    noise_estimator=FrozenEstimator(model.noise_estimator_),  # the larger log knows them better
    random_state=0,
)
for score in (debiased_r2_score, debiased_roc_auc_score):
    value, std = score(z, model.predict(X_later), groups=groups, return_std=True)
    print(f"{score.__name__:<26} {value:.3f} ± {std:.3f}")

# The file needs numpy and onnxruntime alone.
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "reward.onnx"
    to_onnx(model, path)
    answers = ["7 times 6 is 42.", "I cannot help with that."]
    embeddings = encoder.transform([("What is 7 times 6?", answer) for answer in answers])
    for answer, reward in zip(answers, RewardScorer.load(path).predict(embeddings), strict=True):
        print(f"{reward:.3f}  {answer}")
