"""What a configuration or a run is asked to do: training, evaluating, merging and comparing, without printing."""
