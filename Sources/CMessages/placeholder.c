static int placeholder_unused;
