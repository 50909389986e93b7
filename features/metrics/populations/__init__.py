"""Who is counted: frames of customers, advocates and answers that many metrics share."""
