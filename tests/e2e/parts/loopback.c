/* Preloaded into Orthanc, which binds 0.0.0.0 whatever its configuration says: binds loopback instead. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    int (*next)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "bind");
    struct sockaddr_in6 copy;

    if (address == NULL || length > sizeof copy)
        return next(fd, address, length);
    memcpy(&copy, address, length);
    if (copy.sin6_family == AF_INET)
        ((struct sockaddr_in *)&copy)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else if (copy.sin6_family == AF_INET6)
        copy.sin6_addr = in6addr_loopback;
    return next(fd, (struct sockaddr *)&copy, length);
}
