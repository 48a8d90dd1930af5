"""What credits are to pay: unbilled usage and arrears; and reactivation once they are paid."""
