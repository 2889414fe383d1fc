"""TLS: a certificate authority of this server alone, its certificate, and how both are kept and renewed."""
