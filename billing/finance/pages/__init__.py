"""The pages of the back office that are no model's: reports and exports."""
