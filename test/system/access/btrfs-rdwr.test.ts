import { accessSuite } from '../../suites/access.ts';

accessSuite('btrfs', { eventFd: 'rdwr' });
