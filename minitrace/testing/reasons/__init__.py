"""Why a claim does not hold: near misses, causes, the traces drawn, as one message."""
