"""Where cells run: this process, worker processes, Ray, Slurm."""
