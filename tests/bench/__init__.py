"""What is measured, never asserted: a test that is timed fails on a busy machine and proves nothing on an idle one."""
