"""The pages of the back office without a model of their own: reports and exports."""
