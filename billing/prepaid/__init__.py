"""PREPAID customers: arrears, and reactivation once credits arrive."""
