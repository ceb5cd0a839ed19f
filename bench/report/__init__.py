"""Tables, figures and the page, regenerated from result records alone; never imports torch."""
