/*
 * notify.c: telling the init that started us how we are: sd_notify without its library.
 */
#include "world/uv/uv_world.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int uv_notify(const char *socket_path, const char *text)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = strlen(socket_path);
    if (len < 2 || (socket_path[0] != '/' && socket_path[0] != '@'))
        return -EINVAL;
    if (len >= sizeof(to.sun_path))
        return -ENAMETOOLONG;
    memcpy(to.sun_path, socket_path, len);
    if (to.sun_path[0] == '@')
        to.sun_path[0] = '\0'; /* the abstract name space, where the length says where it ends */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    ssize_t sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to,
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    int rc = sent < 0 ? -errno : 0;
    close(fd);
    return rc;
}
