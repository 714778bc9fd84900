"""What training says as it goes, with `verbose`."""


def say(line):
    """Print a line at once: where output goes to a file, Python else keeps it for minutes."""
    print(line, flush=True)


def duration(seconds):
    """Return a duration as text that is easily read: "12 ms", "3.4 s", "2 min 05 s", "1 h 20 min".

    Parameters
    ----------
    seconds : float
        At least 0.
    """
    if seconds < 0.9995:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"
