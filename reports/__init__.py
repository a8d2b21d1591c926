"""Reports: terminal tables, the HTML page, and the paper's published figures beside ours."""
