"""Where the kernel keeps the quotas of workspaces: project quotas, or an image with a file system for each session."""
