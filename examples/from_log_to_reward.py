"""From a feedback log to a reward, an evaluation on later logs, and an ONNX file.

    python examples/from_log_to_reward.py

Reads a generated log; put your own file or data set in its place.
"""

import tempfile
from pathlib import Path

from skcausalrm import CausalRewardRegressor, ConversationEncoder, SelectionModel
from skcausalrm.datasets import load_feedback, make_feedback_logs
from skcausalrm.export import RewardScorer, to_onnx
from skcausalrm.metrics import debiased_r2_score, debiased_roc_auc_score, pseudo_outcomes

logs = load_feedback(make_feedback_logs(1500, n_verified=50, random_state=0).frame)
earlier = logs[logs["group"] < logs["group"].quantile(0.8)]
later = logs.drop(earlier.index)

encoder = ConversationEncoder()
X = encoder.fit_transform(earlier)
model = CausalRewardRegressor(random_state=0)
# The column verified holds what a person says of some answers: `skcausalrm label` makes one.
model.fit(X, earlier["feedback"], groups=earlier["group"], verified=earlier["verified"])
print(f"mean feedback of the rated {earlier['feedback'].mean():.3f}")
print(f"mean corrected reward      {model.predict(X).mean():.3f}")
print(model.selection_report_["advice"])

# Scores as clean labels would give them, from feedback on prompts that were not trained on.
X_later, groups = encoder.transform(later), later["group"]
z = pseudo_outcomes(
    X_later,
    later["feedback"],
    method="selection",
    groups=groups,
    verified=later["verified"],
    selection_model=SelectionModel(  # the larger log knows these better
        false_positive_rate=model.selection_model_.false_positive_rate_,
        false_negative_rate=model.selection_model_.false_negative_rate_,
    ),
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
