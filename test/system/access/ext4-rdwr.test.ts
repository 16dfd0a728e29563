import { accessSuite } from '../../suites/access.ts';

accessSuite('ext4', { eventFd: 'rdwr' });
