// The header in C++.
#include <goprocessing.h>

#include <string>

int
main()
{
    gop_queue queue;
    if (gop_abi() != GOP_ABI || gop_queue_create(&queue, 0) != 0) return 1;
    const std::string item = "an item";
    char got[16];
    uint64_t length = 0;
    bool equal = gop_queue_put(&queue, item.data(), item.size(), GOP_TRY, 0) == 0 &&
                 gop_queue_len(&queue) == 1 &&
                 gop_queue_get(&queue, got, sizeof(got), &length, GOP_TRY, 0) == 0 &&
                 std::string(got, length) == item;
    gop_queue_close(&queue);
    return equal ? 0 : 1;
}
