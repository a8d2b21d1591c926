"""Settings: the words of a command line, the project file and saved files, each checked before anything is built."""
