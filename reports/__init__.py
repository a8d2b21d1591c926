"""Tables a person wants to read, and the published figures beside ours."""
