// SPDX-License-Identifier: Apache-2.0
// A ROS system clock that can jump: preloaded into a node, it adds the ns in the file $CLOCK_SHIFT to what rcl reads.
// Waiting by absolute times is left to the real clock, as the kernel corrects it when the system's clock is set.
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *shift(void) {
  static volatile const int64_t *place = NULL;
  if (place == NULL) {
    int file = open(getenv("CLOCK_SHIFT"), O_RDONLY);
    void *found = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (found == MAP_FAILED) abort();
    place = found;
  }
  return place;
}

int rcutils_system_time_now(int64_t *now) {
  struct timespec time;
  if (clock_gettime(CLOCK_REALTIME, &time) != 0) return 1;
  *now = (int64_t)time.tv_sec * 1000000000 + time.tv_nsec + *shift();
  return 0;
}
