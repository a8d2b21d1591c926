"""`python -m clinspan.lms.weights`: fetch and convert the default model's weights."""

from clinspan.lms.weights.find import main

if __name__ == "__main__":
    main()
