"""How numbers, durations and strangers' text are written: everything that a model or a candidate said is hostile."""

from difflib import unified_diff

ODD_BLANKS = "\u00a0\u2002\u2003\u2009\u202f\u2028\u2029"
MINUS = "\N{MINUS SIGN}"


def clean(text: str) -> str:
    """Drop what could steer a terminal or hide text from a reader: all that doesn't print; odd blanks become blanks."""
    return "".join(c if c.isprintable() or c in "\n\t" else " " * (c in ODD_BLANKS) for c in text)


def one_line(text: str, width: int = 0) -> str:
    """Clean a text and put it on one line, cut to `width` characters."""
    line = " ".join(clean(text).split())
    return line if not width or len(line) <= width else line[: width - 1] + "…"


def number(value: float | None, digits: int = 3) -> str:
    """Write a score."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def signed(value: float | None, digits: int = 3) -> str:
    """Write a difference, with its sign."""
    return "–" if value is None else f"{value:+.{digits}f}".replace("-", MINUS)


def plus_minus(half: float | None, digits: int = 3) -> str:
    """Write half an interval."""
    return "" if half is None else f"±{half:.{digits}f}"


def count(value: float) -> str:
    """Write a large count in at most four characters: 950, 25.4k, 1.3M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= limit:
            size = value / (1e3 if unit == "k" else limit)
            return f"{size:.1f}{unit}" if size < 100 else f"{size:.0f}{unit}"
    return f"{value:.0f}"


def clock(seconds: float) -> str:
    """Write a duration as a clock shows it: 04:07, 1:02:03."""
    whole = max(int(seconds), 0)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes:02d}:{whole % 60:02d}"


def duration(seconds: float) -> str:
    """Write a duration in its two largest units: 8.2 s, 3 min 20 s, 5 h 12 min."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def diff(before: str, after: str) -> tuple[str, ...]:
    """The unified diff of two files, without its head of file names."""
    lines = unified_diff(clean(before).splitlines(), clean(after).splitlines(), lineterm="", n=2)
    return tuple(lines)[2:]
