"""The commands, and below them the rooms that they are built of.

The package is `clinspan.programs`; under its short name, as in `python -m programs.run` in a checkout, it is the same package.
"""

import sys

if __name__ == "programs":
    import clinspan.programs

    sys.modules[__name__] = clinspan.programs
