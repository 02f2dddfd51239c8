# PID 1 of namespaces of its own becomes a real systemd, with folders that it may write to and nothing of the machine's.
# $1: an empty folder, $2: the repository, $3: the folder of Python, $4: its packages, $5: the folder of Node
set -eu
mount --make-rprivate /
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
if [ -e /dev/console ]; then mount --bind /dev/null /dev/console; fi

lines=$(cat /proc/self/cgroup)
mount -t tmpfs tmpfs /sys/fs/cgroup
if [ "$(printf '%s\n' "$lines" | wc -l)" -eq 1 ]; then
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
  printf '%s\n' "$lines" | while IFS=: read -r _ names _; do
    case $names in
      '') folder=unified; kind=cgroup2; options=rw ;;
      name=systemd) folder=systemd; kind=cgroup; options=none,name=systemd ;;
      *) folder=$names; kind=cgroup; options=$names ;;
    esac
    mkdir "/sys/fs/cgroup/$folder"
    mount -t $kind -o "$options" cgroup "/sys/fs/cgroup/$folder"
  done
fi

cp -a /etc "$1/etc"
mount --bind "$1/etc" /etc
rm -rf /etc/systemd/system
mkdir -p /etc/systemd/system
cp -a "$1"/units/. /etc/systemd/system
cp -a "$1"/config /etc/heapwarden
for folder in /run /var/lib /srv /opt /usr/local/lib; do mount -t tmpfs -o mode=755 tmpfs $folder; done
systemd-sysusers /etc/systemd/system/*.sysusers

bound() { mkdir -p "$2" && mount --bind "$1" "$2" && mount -o remount,bind,ro "$2"; }
bound "$3" /opt/python
bound "$4" /opt/heapwarden/packages
bound "$2/agent" /opt/heapwarden/agent
bound "$5" /opt/node
bound "$2/config/examples/demo" /srv/api
mkdir /opt/heapwarden/bin
cat > /opt/heapwarden/bin/heapwarden <<'EOF'
#!/bin/sh
export PYTHONPATH=/opt/heapwarden/agent:/opt/heapwarden/packages LD_LIBRARY_PATH=/opt/python/lib PYTHONDONTWRITEBYTECODE=1
exec /opt/python/bin/python3 -m heapwarden "$@"
EOF
chmod 755 /opt/heapwarden/bin/heapwarden
/opt/heapwarden/bin/heapwarden reporter install /usr/local/lib/heapwarden > /dev/null
exec env -i container=unshare SYSTEMD_UNIT_PATH=/etc/systemd/system PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=all.target --log-target=null --show-status=no
