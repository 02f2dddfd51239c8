"""Text from outside, made fit for logs, terminals and the journal."""


def one_line(data: bytes) -> str:
    """As UTF-8 where it is, on one line, without control characters."""
    text = data.decode(errors="replace")
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
