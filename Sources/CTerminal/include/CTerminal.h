// A terminal's whole screen for a while, and every key by itself; given back on every way out of the process. Signal handlers
// may call only async-signal-safe functions, which Swift cannot promise: so this part is C. Only the target Terminal
// imports this module.
#pragma once

#include <stdbool.h>

typedef struct CTerminal_Size {
  int rows;
  int columns;
} CTerminal_Size;

// Takes the screen: another one is shown, keys come one by one and unseen. 0, or an errno. One screen a process.
int CTerminal_enter(int input, int output);

// Gives it back; nothing happens when it was not taken.
void CTerminal_leave(void);

// Gives it back, stops the process until it is continued (SIGCONT), and takes it again.
void CTerminal_suspend(void);

// 0 by 0 where the system does not say.
CTerminal_Size CTerminal_size(int output);

// True once after the size may have changed, or the screen was taken again.
bool CTerminal_hasChanged(void);

// The next byte, -1 when none came within so many milliseconds, -2 when none will come any more.
int CTerminal_next(int input, int milliseconds);
