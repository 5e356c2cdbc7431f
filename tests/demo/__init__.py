"""`make demo`: the whole life of one zone on real parts, told in plain lines, and proven in the last one."""
