from abruptlab.paper.registry import Claim, FigureSpec

FIGURES: dict[str, FigureSpec] = {}
CLAIMS: dict[str, Claim] = {}
