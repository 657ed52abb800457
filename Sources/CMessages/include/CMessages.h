// The generated messages; regenerate with scripts/generate.
#pragma once

#include "open_inference.pb-c.h"
#include "sluice.pb-c.h"
