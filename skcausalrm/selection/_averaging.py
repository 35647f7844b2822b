"""Profile of the likelihood along the base rate, and the mixture of its solutions.

The likelihood is flat in the base rate because selection, flips and level trade off. So the
intercept b takes values on a grid; at each node the other parameters are maximised, Laplace's
approximation integrates them out, and predictions average over nodes and links.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.special import logit

from ._counts import Counts
from ._likelihood import LOGISTIC_VARIANCE, GradedLikelihood
from ._mixture import Mixture, Node
from ._parameters import A_S, GAMMA, A, B
from ._priors import Knowledge

# Values of lam, the link's parameter, equally likely beforehand.
LINKS = (1.0, 0.3, 0.03)
# Step of the grid of the intercept b, and the range never left.
_STEP, _FARTHEST = 0.4, 14.0
# Least step of the grid, and the step of the base rate's logit over it that is a jump.
_FINEST, _JUMP = 1e-3, 0.1
# Distance of a parameter from the straight path between two nodes beyond which they are solutions
# of two kinds.
_APART = 0.3
# Nats by which two solutions are the same: a maximisation stops that near.
_SAME = 1e-3
# Least slope of the first predictor to start from, since an extrapolated one may be negative.
_LEAST_SLOPE = 0.05


class _Effort(NamedTuple):
    """How far and how finely the grid covers b.

    Attributes
    ----------
    reach : float
        The range always covered.
    negligible : float
        Nats below the maximum beyond which a node does not matter.
    fine : float
        Nats below the maximum within which intervals are halved until they are fine.
    fineness : float
        Width of a fine interval in posterior standard deviations: the trapezoid rule on a smooth
        curve is exact to many digits at half of one.
    """

    reach: float
    negligible: float
    fine: float
    fineness: float


_EFFORT = _Effort(reach=3.2, negligible=12.0, fine=8.0, fineness=0.5)
# Where users or signals tell the level, the profile is one hill, and an evaluation costs more.
_EFFORT_IF_TOLD = _Effort(reach=0.8, negligible=8.0, fine=6.0, fineness=0.8)
# Nodes of smaller weight are left out of predictions.
_LEAST_WEIGHT = 1e-4
# Maximum rounds of halving.
_ROUNDS = 12


def maximise(model: GradedLikelihood, theta: NDArray, *, max_iter: int = 60):
    """Maximise over the free parameters by Newton steps that never descend.

    Where the Hessian is indefinite, its eigenvalues are replaced by their absolute values.

    Returns
    -------
    theta : ndarray of shape (p,)
    value : float
        Log posterior at `theta`.
    hessian : ndarray of shape (p, p)
    """
    free = model.free
    theta = theta.copy()
    value, gradient, hessian = model.evaluate(theta)
    for _ in range(max_iter):
        values, vectors = np.linalg.eigh(-hessian[np.ix_(free, free)])
        g = vectors.T @ gradient[free]
        # A floor on curvature limits steps along flat directions to about one prior deviation.
        step = vectors @ (g / np.maximum(np.abs(values), 1e-2))
        step *= min(1.0, 3.0 / np.abs(step).max(initial=1e-9))
        if g @ (g / np.maximum(np.abs(values), 1e-2)) < 1e-6:
            break
        for _ in range(30):
            proposal = theta.copy()
            proposal[free] += step
            found = model.evaluate(proposal)
            if found[0] > value:
                break
            step = step / 2
        else:
            break
        theta, (value, gradient, hessian) = proposal, found
    return theta, value, hessian


def _starts(model: GradedLikelihood) -> list[NDArray]:
    """Return starting points along the first linear predictor, or, without it, the second."""
    mean = model.start[GAMMA]
    gammas = (0.3, -0.3) if GAMMA in model.free and mean == 0 else (mean,)
    starts = []
    for gamma in gammas:
        theta = model.start.copy()
        theta[GAMMA] = gamma
        if A.start in model.free:
            theta[A.start] = 1.0
        elif A.start + 1 in model.free:
            theta[A.start + 1] = np.sign(gamma) or 1.0
        starts.append(theta)
    return starts


def fit_tau(counts: Counts, knowledge: Knowledge) -> tuple[float, NDArray]:
    """Return tau, the standard deviation of the graded strength, and the solution behind it."""
    model = GradedLikelihood(counts, knowledge, 1.0, float(np.sqrt(1 + LOGISTIC_VARIANCE)))
    fits = [maximise(model, start) for start in _starts(model)]
    theta = max(fits, key=lambda fit: fit[1])[0]
    index = counts.z @ theta[A]
    mean = np.average(index, weights=counts.weight)
    spread = float(np.average((index - mean) ** 2, weights=counts.weight))
    return float(np.sqrt(spread + LOGISTIC_VARIANCE)), theta


class _Path:
    """Nodes of one link by their intercept b; None where a node is no maximum."""

    def __init__(self, model: GradedLikelihood, prior, start: NDArray):
        self.model, self.prior = model, prior
        told = model.counts.habit is not None or model.counts.signals is not None
        self.effort = _EFFORT_IF_TOLD if told else _EFFORT
        self.nodes: dict[float, Node | None] = {}
        first = [maximise(model, theta) for theta in [*([] if told else _starts(model)), start]]
        origin = max(first, key=lambda fit: fit[1])[0]
        for direction in (1, -1):
            theta, b, earlier = origin, 0.0, None
            while self._goes_on(b, direction):
                theta, tangent = self._visit(b, theta)
                # The bend of the path goes on: a start nearer to the maximum saves a Newton step.
                bend = 0.0 if earlier is None else (tangent - earlier) / 2
                theta = theta + direction * _STEP * (tangent + bend)
                b, earlier = round(b + direction * _STEP, 6), tangent
        grid = sorted((b, node) for b, node in self.nodes.items() if node)
        for (b0, left), (b1, right) in pairwise(grid):
            if _is_apart(b0, left, b1, right):
                self._go_on(b1, right, -1)
                self._go_on(b0, left, 1)

    def _go_on(self, b: float, node: Node, direction: int) -> None:
        """Follow a kind of solution from b for as long as it is likelier than the one found there.

        Where there are two kinds, a walk stays with one for too long: which one would depend on
        where it came from. Height decides, because Laplace's approximation is inflated where a
        kind is about to vanish.
        """
        while (b_next := round(b + direction * _STEP, 6)) in self.nodes:
            other = self.nodes[b_next]
            self._visit(b_next, node.theta + direction * _STEP * node.tangent)
            found = self.nodes[b_next]
            if found is None or (other is not None and found.value <= other.value + _SAME):
                self.nodes[b_next] = other
                return
            b, node = b_next, found

    def _visit(self, b: float, theta: NDArray) -> tuple[NDArray, NDArray]:
        """Maximise at b from theta; return the solution and its derivative by b."""
        theta = theta.copy()
        theta[B] = b
        theta[A_S] = max(theta[A_S], _LEAST_SLOPE)
        theta, value, hessian = maximise(self.model, theta)
        free = self.model.free
        values, vectors = np.linalg.eigh(-hessian[np.ix_(free, free)])
        base_rate = self.model.base_rate(theta)
        tangent = np.zeros(len(theta))
        tangent[B] = 1
        if (values <= 0).any() or not 0 < base_rate < 1:
            self.nodes[b] = None
            return theta, tangent
        covariance = np.zeros((len(theta), len(theta)))
        covariance[np.ix_(free, free)] = (vectors / values) @ vectors.T
        tangent[free] = covariance[np.ix_(free, free)] @ hessian[free, B]
        # Laplace: half the log determinant. The priors' widths are the only constants that depend
        # on which parameters are free.
        widths = self.model.sd[free][np.isfinite(self.model.sd[free])]
        score = value - 0.5 * float(np.log(values).sum()) - float(np.log(widths).sum())
        of_rate = float(self.prior.logpdf(logit(base_rate)))
        self.nodes[b] = Node(
            theta, covariance, tangent, base_rate, score + of_rate, value + of_rate
        )
        return theta, tangent

    def _goes_on(self, b: float, direction: int) -> bool:
        """Return True if the walk outward from 0 has not left the nodes that matter."""
        if abs(b) > _FARTHEST:
            return False
        last = self.nodes.get(round(b - direction * _STEP, 6))
        if abs(b) <= self.effort.reach or last is None:
            return True
        return 0.02 < last.base_rate < 0.98 and last.score > self.best - self.effort.negligible

    @property
    def best(self) -> float:
        """Highest score of a node."""
        return max((node.score for node in self.nodes.values() if node), default=-np.inf)

    def stretch(self) -> list[tuple[float, Node]]:
        """Return the run of nodes along which the base rate rises with b that weighs most.

        Far out the path can fold back or jump to another solution, and a mixture through either
        predicts nonsense. Weight decides and not the best node: that one may stand at the end of a
        fold, a hair above a hill that holds nearly everything.
        """
        runs: list[list[tuple[float, Node]]] = []
        for b, node in sorted((b, node) for b, node in self.nodes.items() if node):
            if not runs or _breaks(*runs[-1][-1], b, node):
                runs.append([])
            runs[-1].append((b, node))
        return max(runs, key=self._weight, default=[])

    def _weight(self, run: list[tuple[float, Node]]) -> tuple[float, float]:
        """Return the weight of a run, and its highest score where all have one node."""
        scores = np.array([node.score for _, node in run])
        return float(np.exp(scores - self.best) @ _widths([n for _, n in run])), scores.max()

    def refine(self, sd: float, best: float) -> bool:
        """Halve wide intervals near the maximum; return True if there were any."""
        nodes = self.stretch()
        added = False
        for (b0, left), (b1, right) in pairwise(nodes):
            near = max(left.score, right.score) > best - self.effort.fine
            if near and right.level - left.level > self.effort.fineness * sd and b1 - b0 > _FINEST:
                half = (b1 - b0) / 2
                # Midpoint of the cubic through both nodes.
                bend = half * (left.tangent - right.tangent) / 4
                self._visit(b0 + half, (left.theta + right.theta) / 2 + bend)
                added = True
        return added


def _is_apart(b0: float, left: Node, b1: float, right: Node) -> bool:
    """Return True if two nodes next to each other are solutions of two kinds."""
    straight = left.theta + (b1 - b0) / 2 * (left.tangent + right.tangent)
    return bool(np.abs(right.theta - straight).max() > _APART)


def _breaks(b0: float, left: Node, b1: float, right: Node) -> bool:
    """Return True if the path folds back or jumps between two nodes."""
    jumps = b1 - b0 <= _FINEST and right.level - left.level > _JUMP
    return jumps or right.base_rate <= left.base_rate


def _widths(nodes: list[Node]) -> NDArray[np.float64]:
    """Return the width of each node's interval on the logit of the base rate."""
    gaps = np.diff([node.level for node in nodes])
    return np.append(gaps, 0) / 2 + np.append(0, gaps) / 2


def _mix(paths: list[tuple[float, _Path]]) -> Mixture:
    nodes: list[Node] = []
    links, widths = [], []
    for link, path in paths:
        stretch = [node for _, node in path.stretch()]
        nodes += stretch
        links += [link] * len(stretch)
        widths.append(_widths(stretch) if len(stretch) > 1 else np.ones(len(stretch)))
    if not nodes:
        raise np.linalg.LinAlgError("no maximum of the selection likelihood was found")
    scores = np.array([node.score for node in nodes])
    width = np.concatenate(widths)
    weights = np.exp(scores - scores.max()) * width
    dropped = sum(node is None for _, path in paths for node in path.nodes.values())
    models = {link: path.model for link, path in paths}
    return Mixture(nodes, models, np.array(links), weights / weights.sum(), width, dropped)


def most_likely(counts: Counts, knowledge: Knowledge, prior) -> tuple[float, NDArray | None]:
    """Return tau and the most likely parameters by the logit link, or None.

    Parameters are those of `average`.
    """
    tau, start = fit_tau(counts, knowledge)
    nodes = [
        n for _, n in _Path(GradedLikelihood(counts, knowledge, 1.0, tau), prior, start).stretch()
    ]
    return tau, max(nodes, key=lambda node: node.score).theta if nodes else None


def average(
    counts: Counts, knowledge: Knowledge, prior, *, n_jobs: int | None = None
) -> tuple[Mixture, Mixture]:
    """Compute the nodes of every link along b, and their weights.

    Parameters
    ----------
    counts : Counts
    knowledge : Knowledge
    prior : scipy.stats distribution
        Prior of the base rate's logit.
    n_jobs : int or None, default=None
        Links fitted in parallel.

    Returns
    -------
    mixture : Mixture
        Nodes of non-negligible weight, for predictions.
    whole : Mixture
        All nodes, for the posterior of the base rate.
    """
    tau, start = fit_tau(counts, knowledge)
    model = GradedLikelihood(counts, knowledge, 1.0, tau)
    links = LINKS if model.selects else (1.0,)
    walked = Parallel(n_jobs=n_jobs)(
        delayed(_Path)(GradedLikelihood(counts, knowledge, lam, tau), prior, start) for lam in links
    )
    paths = list(zip(links, walked, strict=True))
    for _ in range(_ROUNDS):
        sd = _mix(paths).level_moments[1]
        best = max(path.best for _, path in paths)
        refined = [path.refine(sd, best) for _, path in paths]
        if not any(refined):
            break
    whole = _mix(paths)
    kept = np.flatnonzero(whole.weights > _LEAST_WEIGHT)
    weights = whole.weights[kept]
    mixture = whole._replace(
        nodes=[whole.nodes[i] for i in kept],
        links=whole.links[kept],
        weights=weights / weights.sum(),
        widths=whole.widths[kept],
    )
    return mixture, whole
