#include "base/host_thread.h"

bool host_thread_open(host_thread *h)
{
    h->library = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return h->library != (locale_t)0;
}

void host_thread_close(host_thread *h)
{
    if (h->library)
        freelocale(h->library);
    h->library = (locale_t)0;
}

void host_thread_enter(host_thread *h)
{
    h->host = uselocale(h->library);
    h->entered = true;
}

void host_thread_leave(host_thread *h)
{
    uselocale(h->host);
    h->entered = false;
}

void host_thread_block(host_thread *h)
{
    signal_mask_block(&h->signals);
    h->blocked = true;
}

void host_thread_unblock(host_thread *h)
{
    h->blocked = false;
    signal_mask_restore(&h->signals);
}

void host_thread_lend(host_thread *h)
{
    if (h->lent++ > 0)
        return;
    if (h->blocked)
        signal_mask_restore(&h->signals);
    if (h->entered)
        uselocale(h->host);
}

void host_thread_take_back(host_thread *h)
{
    if (--h->lent > 0)
        return;
    if (h->entered)
        h->host = uselocale(h->library);
    if (h->blocked)
        signal_mask_block(&h->signals);
}
