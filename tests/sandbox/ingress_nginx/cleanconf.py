"""The controller's last step before a configuration is tried: every line is re-indented, also inside quoted strings.

It is imitated byte by byte because it changes what a snippet means: a quoted string over several
lines never matches (facts: ingress-nginx#re-indenting).
"""

CODE, COMMENT = "code", "comment"


def clean(text: str) -> str:
    """Re-indent a configuration by its braces (facts: ingress-nginx#re-indenting).

    Quotes are not known. `#` begins a comment anywhere; braces in comments do not count. Of
    consecutive empty lines one is kept, with its tabs.
    """
    out: list[str] = []
    state, depth = CODE, 0
    line_started = empty_line_written = False
    for character in text.replace("\r\n", "\n").replace("\r", " "):
        if character == "\n":
            empty = not line_started
            if not (empty and empty_line_written):
                out.append("\t" * depth + "\n" if empty else "\n")
            empty_line_written = empty
            state, line_started = CODE, False
            continue
        if state == CODE:
            if character in " \t" and not line_started:
                continue
            if character == "}":
                depth = max(depth - 1, 0)
            elif character == "#":
                state = COMMENT
        if not line_started:
            out.append("\t" * depth)
            line_started = True
        out.append(character)
        if state == CODE and character == "{":
            depth += 1
    return "".join(out)
