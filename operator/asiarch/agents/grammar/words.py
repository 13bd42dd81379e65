"""What a recipe is called, and how its blocks are spoken of."""

from asiarch.agents.grammar.recipe import NAMES, Recipe

_RULES = {
    "linear": "linear attention",
    "delta": "delta rule",
    "scan": "scan",
    "conv": "long convolution",
    "local": "local attention",
    "softmax": "softmax attention",
    "none": "no mixing",
}
_DECAYS = {
    "none": "",
    "scalar": "gated ",
    "channel": "channel-gated ",
    "ladder": "ladder-decayed ",
    "fixed": "half-decayed ",
}
_PHRASES = {
    "feature=elu": "ELU features",
    "feature=relu": "ReLU features",
    "feature=softmax": "softmax features",
    "beta=sigmoid": "write strength",
    "beta=double": "double write strength",
    "gate=sigmoid": "output gate",
    "gate=silu": "SiLU gate",
    "norm=layer": "layer norm",
    "heads=shared": "shared keys",
    "heads=mixed": "mixed heads",
    "keys=half": "half keys",
    "expand=2": "wide values",
    "path=shift": "shift path",
    "path=conv": "conv path",
    "path=ema": "average path",
    "path=local": "local path",
    "join=gate": "gated join",
}
_TITLE = 80


def title(recipe: Recipe) -> str:
    """Name a mixer in at most 80 characters: "Gated delta rule, conv 4, output gate"."""
    first = f"{_DECAYS[recipe.decay]}{_RULES[recipe.rule]}"
    numbers = [
        f"{name} {getattr(recipe, name)}"
        for name in ("conv", "taps", "window")
        if getattr(recipe, name) != "0"
    ]
    phrases = [_PHRASES[tag] for tag in recipe.tags() if tag in _PHRASES]
    said = ""
    for phrase in (first[0].upper() + first[1:], *numbers, *phrases):
        longer = f"{said}, {phrase}" if said else phrase
        said = longer if len(longer) <= _TITLE else said
    return said


def difference(before: Recipe, after: Recipe) -> tuple[tuple[str, str, str], ...]:
    """The blocks in which two recipes differ, with both choices; the mixing rule first.

    A block that the second one leaves no room for went with what closed it, and is not counted again.
    """
    names = ("rule", *(name for name in NAMES if name in after.open_blocks()))
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in names)
    return tuple((name, old, new) for name, old, new in pairs if old != new)


EXPECTATIONS = {
    "rule=linear": "plain associations are cheap and hard to break",
    "rule=delta": "correcting what is stored before writing keeps keys from blurring into each other",
    "rule=scan": "a state for each channel can count and wait where a matrix can't",
    "rule=conv": "a long filter sees exact distances",
    "rule=local": "sharp attention nearby finds what a blurred memory loses",
    "feature=silu": "smooth features keep a little of the negative half",
    "feature=elu": "positive features make every read an average",
    "feature=relu": "sparse features interfere less",
    "feature=softmax": "features that compete make keys distinct",
    "feature=none": "raw features keep all that the projection says",
    "qk=l2": "unit length bounds what a write can do",
    "qk=none": "length can say how much a key matters",
    "decay=none": "nothing that was written has to fade",
    "decay=scalar": "a head that can forget makes room",
    "decay=channel": "each key channel can keep its own time",
    "decay=ladder": "fixed rates give each head its own horizon for free",
    "decay=fixed": "a short memory can't be cluttered",
    "beta=none": "every position has its full say",
    "beta=sigmoid": "positions that carry nothing need not write",
    "beta=double": "a strength above one can turn an association round",
    "conv=0": "without it, what a position says stays its own",
    "conv=2": "a pair of neighbours is what recall binds together",
    "conv=4": "a few neighbours let a key hold its context",
    "conv=8": "more neighbours let a key hold longer motifs",
    "gate=none": "fewer weights learn faster",
    "gate=sigmoid": "a gate can silence a read that found nothing",
    "gate=silu": "a gate that can also amplify and turn round says more",
    "norm=rms": "reads of one size make learning steady",
    "norm=layer": "centred reads of one size make learning steady",
    "norm=none": "the size of a read can say how sure it is",
    "heads=own": "keys of its own let a head look for something else",
    "heads=shared": "shared keys save weights and agree on where things are",
    "heads=mixed": "heads that exchange what they read can combine it",
    "keys=half": "short keys leave weights for values",
    "keys=full": "long keys hold more associations apart",
    "expand=2": "wider values carry more of each position",
    "expand=1": "narrow values leave weights for the rest",
    "path=none": "one path alone can be followed by the gradient",
    "path=shift": "the previous position is what recall needs most",
    "path=conv": "a filter beside the memory takes the local work off it",
    "path=ema": "a running average beside the memory tells the topic",
    "path=local": "exact attention nearby takes the local work off the memory",
    "join=sum": "a plain sum lets both paths learn at once",
    "join=gate": "a choice for each position lets the paths specialise",
    "taps=16": "a shorter filter learns faster",
    "taps=32": "a longer filter reaches farther",
    "window=16": "a narrow window is sharp and cheap",
    "window=32": "a wide window reaches farther",
}
"""Why one may hope for something of each choice; what came of it is the analyst's to say."""
