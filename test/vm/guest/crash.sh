# Mounts the disk that is to survive, starts hsm on it and works until there is no power: crash.sh CHECKOUT FOLDER [ROUNDS].
# The mount points are in FOLDER. The first run sets everything up.
root=$1 folder=$2 rounds=${3:-1000000}
. "$root/test/vm/guest/lib.sh"
HSM_CONFIG=$folder/hsm/hsm.toml

mkdir -p "$folder"/{data,hsm}
mount /dev/vda1 "$folder/data" && mount /dev/vda2 "$folder/hsm" || give_up 'the disk cannot be mounted'
if [ ! -e "$HSM_CONFIG" ]; then
  hsm init --filesystem "$folder/data" --library "$folder/hsm/library" --state "$folder/hsm/state" --cartridges 2 --capacity 1G >/dev/null && sync || give_up 'hsm init'
fi
start_daemon
python3 "$root/test/vm/guest/workload.py" "$folder" "$rounds" || give_up "workload: $(cat /run/daemon.out)"
stop_daemon
wait_for 20 umount "$folder/data" && umount "$folder/hsm"
