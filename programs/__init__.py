"""The commands, and the subpackages that they are built from.

The package is `clinspan.programs`. Its short name, as in `python -m programs.run` in a checkout, refers to the same package.
"""

import sys

if __name__ == "programs":
    import clinspan.programs

    sys.modules[__name__] = clinspan.programs
