"""What many zones on one controller cost the operator: `make scale` measures it and prints a table beside the baseline."""
