"""The servers of one machine and what is set up on them: started, watched, ended, deployed to."""
