"""The paper's Figure 5, one file a step; README.md here says why it works."""
