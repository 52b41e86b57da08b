"""The stage that sends tokens: what it holds, and its rules."""
