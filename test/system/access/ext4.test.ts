import { accessSuite } from '../../suites/access.ts';

accessSuite('ext4');
