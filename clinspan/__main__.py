"""`python -m clinspan COMMAND`: the same as `clinspan COMMAND`."""

from clinspan.programs.cli import main

if __name__ == "__main__":
    main()
