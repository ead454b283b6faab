"""What must hold of minitrace as it is installed: `scripts/try-testing` copies these into environments of their own."""
