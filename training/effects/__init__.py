"""Effects of treatments (asks, offers): fitted beside the model of the outcome, on who was treated and who was not."""
