"""One run: the checked request, the training, the evaluation, the record; what runs share is made once."""
