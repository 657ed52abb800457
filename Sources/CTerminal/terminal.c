#include "CTerminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

// Written before the handlers are installed, and only read by them.
static struct termios before;
static struct termios within;
static int input_descriptor;
static int output_descriptor;
static volatile sig_atomic_t is_taken = 0;
static volatile sig_atomic_t has_changed = 0;

// The alternate screen, no cursor, no wrapping at the end of a line; and the same back (xterm).
static const char take_text[] = "\033[?1049h\033[?25l\033[?7l\033[H\033[2J";
static const char give_text[] = "\033[m\033[?7h\033[?25h\033[?1049l";

// What ends the process, or breaks it.
static const int endings[] = {SIGHUP,  SIGINT, SIGQUIT, SIGTERM, SIGABRT, SIGSEGV,
                              SIGBUS,  SIGILL, SIGTRAP, SIGFPE,  SIGALRM};

static void say(const char *text, size_t length) {
  while (length > 0) {
    ssize_t count = write(output_descriptor, text, length);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    text += count;
    length -= (size_t)count;
  }
}

static void show(void) {
  tcsetattr(input_descriptor, TCSANOW, &within);
  say(take_text, sizeof take_text - 1);
}

static void hide(void) {
  say(give_text, sizeof give_text - 1);
  tcsetattr(input_descriptor, TCSANOW, &before);
}

void CTerminal_leave(void) {
  if (!is_taken) return;
  is_taken = 0;
  hide();
}

static void end(int number) {
  int kept = errno;
  CTerminal_leave();
  errno = kept;
  // As it would have ended without us: the handler was good for one time.
  raise(number);
}

static void change(int number) {
  int kept = errno;
  if (number == SIGCONT && is_taken) show();
  has_changed = 1;
  errno = kept;
}

int CTerminal_enter(int input, int output) {
  if (tcgetattr(input, &before) != 0) return errno;
  input_descriptor = input;
  output_descriptor = output;
  within = before;
  cfmakeraw(&within);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  sigemptyset(&action.sa_mask);
  action.sa_handler = end;
  action.sa_flags = (int)SA_RESETHAND;
  for (size_t index = 0; index < sizeof endings / sizeof endings[0]; index++) {
    struct sigaction now;
    // What is ignored (nohup) stays so.
    if (sigaction(endings[index], NULL, &now) == 0 && now.sa_handler == SIG_IGN) continue;
    sigaction(endings[index], &action, NULL);
  }
  action.sa_handler = change;
  action.sa_flags = SA_RESTART;
  sigaction(SIGWINCH, &action, NULL);
  sigaction(SIGCONT, &action, NULL);
  is_taken = 1;
  show();
  return 0;
}

void CTerminal_suspend(void) {
  if (!is_taken) return;
  hide();
  // SIGCONT takes the screen again.
  raise(SIGSTOP);
}

CTerminal_Size CTerminal_size(int output) {
  struct winsize size;
  CTerminal_Size result = {0, 0};
  if (ioctl(output, TIOCGWINSZ, &size) == 0) {
    result.rows = size.ws_row;
    result.columns = size.ws_col;
  }
  return result;
}

bool CTerminal_hasChanged(void) {
  if (!has_changed) return false;
  has_changed = 0;
  return true;
}

int CTerminal_next(int input, int milliseconds) {
  struct pollfd wanted = {input, POLLIN, 0};
  int count = poll(&wanted, 1, milliseconds);
  if (count < 0) return errno == EINTR ? -1 : -2;
  if (count == 0) return -1;
  unsigned char byte;
  ssize_t got = read(input, &byte, 1);
  if (got == 1) return byte;
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return -1;
  return -2;
}
