"""Photos to answers: engines' sessions, the scheduler, the models that are served."""
