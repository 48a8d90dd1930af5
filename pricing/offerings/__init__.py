"""What is sold: offerings of a plan, and coupons."""
